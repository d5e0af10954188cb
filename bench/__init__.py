"""The measurements that spanreel promises: `make bench`, or `python -m bench [ROW ...] [--quick]`."""
