DROP TABLE IF EXISTS temp.main.bill;
DROP TABLE IF EXISTS temp.main.repriced;
