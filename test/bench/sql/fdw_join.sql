SELECT sum(octet_length(t.v)) FROM bench.wanted AS w JOIN TABLE AS t ON t.id = w.id;
