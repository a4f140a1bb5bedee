package edge

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// Certificate is a certificate that clients get.
type Certificate struct {
	Names    []string  `json:"names"`  // DNS names and addresses that it is valid for
	Issuer   string    `json:"issuer"` // the distinguished name of its issuer
	NotAfter time.Time `json:"not_after"`
	Chain    []string  `json:"chain"` // SHA-256 of each certificate as it is sent, in hex, the hub's own first
}

// certificates lists the certificates that Caddy's cache has for the names, each once.
func certificates(names []string) []Certificate {
	list := []Certificate{}
	seen := map[string]bool{}
	for _, name := range names {
		for _, found := range caddytls.AllMatchingCertificates(name) {
			if hash := found.Hash(); !seen[hash] {
				seen[hash] = true
				list = append(list, describe(&found.Certificate))
			}
		}
	}
	return list
}

func describe(certificate *tls.Certificate) Certificate {
	c := Certificate{Names: []string{}, Chain: []string{}}
	for _, raw := range certificate.Certificate {
		sum := sha256.Sum256(raw)
		c.Chain = append(c.Chain, hex.EncodeToString(sum[:]))
	}
	leaf := certificate.Leaf
	if leaf == nil {
		leaf, _ = x509.ParseCertificate(certificate.Certificate[0])
	}
	if leaf != nil {
		c.Names, c.Issuer, c.NotAfter = namesOf(leaf), leaf.Issuer.String(), leaf.NotAfter.UTC()
	}
	return c
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
