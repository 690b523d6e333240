\set id random(1, :rows)
SELECT v FROM TABLE WHERE id = :id;
