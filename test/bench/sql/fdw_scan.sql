-- The fence keeps the sum here: rows are to travel.
SELECT sum(length(v)) FROM (SELECT v FROM TABLE WHERE id BETWEEN 1 AND :rows ORDER BY id OFFSET 0) AS t;
