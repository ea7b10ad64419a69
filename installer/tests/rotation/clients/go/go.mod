module silica.invalid/rotation/client

go 1.22
