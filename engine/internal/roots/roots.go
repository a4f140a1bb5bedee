// Package roots has the authorities that the engine's own TLS clients trust.
package roots

import (
	"crypto/x509"
	"fmt"
	"os"
)

// With returns this machine's authorities and those of a PEM file. Without a file it returns nil, by which crypto/tls
// means this machine's.
func With(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without authorities
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}
