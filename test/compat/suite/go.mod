module tikv_fdw/test/compat/suite

go 1.18
