DELETE FROM temp.main.touched
