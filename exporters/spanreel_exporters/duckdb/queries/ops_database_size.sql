SELECT block_size, total_blocks, used_blocks FROM pragma_database_size() WHERE database_name = 'store'
