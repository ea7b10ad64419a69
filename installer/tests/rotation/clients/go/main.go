// A client of the API on Go's net/http that never stops asking.
//
// Arguments: fresh or kept connections; host; ports with commas between; CA file. Each line on standard
// input is answered with the counts since the last one: succeeded, failed and the first error, with tabs
// between.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	kind, host, ports := os.Args[1], os.Args[2], strings.Split(os.Args[3], ",")
	pem, err := os.ReadFile(os.Args[4])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	fresh := kind == "fresh"
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: fresh,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	var lock sync.Mutex
	var succeeded, failed int
	var first string
	go func() {
		for turn := 0; ; turn++ {
			port := ports[0]
			if fresh {
				port = ports[turn%len(ports)]
			}
			err := ask(client, "https://"+host+":"+port+"/health")
			lock.Lock()
			if err == nil {
				succeeded++
			} else {
				failed++
				if first == "" {
					first = strings.Join(strings.Fields(err.Error()), " ")
				}
			}
			lock.Unlock()
			time.Sleep(30 * time.Millisecond)
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		lock.Lock()
		fmt.Printf("%d\t%d\t%s\n", succeeded, failed, first)
		succeeded, failed, first = 0, 0, ""
		lock.Unlock()
	}
}

func ask(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}
