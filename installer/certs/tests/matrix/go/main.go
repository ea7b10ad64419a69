// A TLS client on Go's crypto/tls and crypto/x509: tells what it says to each server of the matrix.
//
// Lines on standard input: name, port, host and CA file, with tabs between. One line out for each:
// name, tab, "ok" or the reason.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func verdict(port, host, ca string) string {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err.Error()
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return "no CA in " + ca
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: roots, ServerName: host})
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	connection.Close()
	return "ok"
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		field := strings.Split(lines.Text(), "\t")
		fmt.Printf("%s\t%s\n", field[0], verdict(field[1], field[2], field[3]))
	}
}
