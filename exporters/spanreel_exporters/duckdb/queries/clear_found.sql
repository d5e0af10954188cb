DELETE FROM temp.main.found
