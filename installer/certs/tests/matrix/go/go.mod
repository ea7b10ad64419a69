module silica/certs/tests/matrix

go 1.24
