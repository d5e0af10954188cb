"""The commands of `spanreel` that read or tend a store; each module holds one `COMMAND`."""
