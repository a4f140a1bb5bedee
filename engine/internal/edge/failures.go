package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mholt/acmez/v3/acme"
)

// Failure is why the last attempt gave a name no certificate, or no new one. Caddy goes on trying.
type Failure struct {
	Name   string    `json:"name"`
	Issuer string    `json:"issuer"` // the issuer that was asked: host and path of an ACME directory, or a CA's id
	Kind   string    `json:"kind"`   // see kindOf
	Error  string    `json:"error"`
	At     time.Time `json:"at"`
}

// failures has the last failure of each name.
var failures = &ledger{last: map[string]Failure{}}

type ledger struct {
	mu   sync.Mutex
	last map[string]Failure
}

// add takes the data of certmagic's event cert_failed (config.go, obtainCert and renewCert).
func (l *ledger) add(data map[string]any) {
	name, _ := data["identifier"].(string)
	issuers, _ := data["issuers"].([]string)
	err, _ := data["error"].(error)
	if err == nil || errors.Is(err, context.Canceled) { // canceled: a reload starts again
		return
	}
	failure := Failure{Name: name, Kind: kindOf(err), Error: err.Error(), At: time.Now().UTC()}
	if len(issuers) > 0 {
		failure.Issuer = issuers[len(issuers)-1] // the error comes from the last issuer
	}
	l.put(failure)
}

func (l *ledger) put(failure Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[failure.Name] = failure
}

// clear takes the data of certmagic's event cert_obtained.
func (l *ledger) clear(data map[string]any) {
	name, _ := data["identifier"].(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.last, name)
}

// forget drops the failures from before a configuration: the new one may have other names, or repair what failed.
func (l *ledger) forget(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, failure := range l.last {
		if failure.At.Before(before) {
			delete(l.last, name)
		}
	}
}

func (l *ledger) has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.last[name]
	return ok
}

// list returns the failures, sorted by name.
func (l *ledger) list() []Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Failure, 0, len(l.last))
	for _, failure := range l.last {
		list = append(list, failure)
	}
	slices.SortFunc(list, func(a, b Failure) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// The results of kindOf that are not types of ACME problems.
const (
	kindIssuerName        = "issuer-name"        // the issuer's host name was not resolved
	kindIssuerUnreachable = "issuer-unreachable" // no connection to the issuer, or none in time
	kindIssuerUntrusted   = "issuer-untrusted"   // the issuer's own certificate was refused
	kindNoChallenge       = "no-challenge"       // the issuer offers no challenge that the configuration allows
	kindStorage           = "storage"            // the state directory can't be written
	kindAccount           = "account"            // no account could be made with the issuer
	kindTailscale         = "tailscale"          // tailscaled gave no certificate; tailscale.go has more kinds
	kindOther             = "other"
)

// accountProblems are about the account if they come while the account is made: a wrong binding (RFC 8555, section
// 7.3.4) has the same type as a name that is not proved.
var accountProblems = []string{"unauthorized", "malformed", "invalid-contact", "unsupported-contact"}

// kindOf returns the cause: the type of an ACME problem (RFC 8555, section 6.7) in kebab-case, for example
// rate-limited, dns, connection, unauthorized, caa, tls or external-account-required; or one of the constants.
func kindOf(err error) string {
	var problem acme.Problem
	if errors.As(err, &problem) {
		kind := kindOfProblem(problem)
		if slices.Contains(accountProblems, kind) && strings.Contains(err.Error(), "registering account") { // certmagic, acmeclient.go
			return kindAccount
		}
		return kind
	}
	var unresolved *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var file *fs.PathError
	var request *url.Error
	var network net.Error
	switch {
	case errors.As(err, &untrusted), errors.As(err, &unknown):
		return kindIssuerUntrusted
	case errors.As(err, &unresolved):
		return kindIssuerName
	case errors.As(err, &request), errors.As(err, &network):
		return kindIssuerUnreachable
	case errors.As(err, &file):
		return kindStorage
	}
	return kindOfText(err.Error())
}

// kindOfProblem looks into a problem that only contains others.
func kindOfProblem(problem acme.Problem) string {
	if problem.Type == acme.ProblemTypeCompound && len(problem.Subproblems) > 0 {
		return kindOfProblem(problem.Subproblems[0].Problem)
	}
	name, ok := strings.CutPrefix(problem.Type, acme.ProblemTypeNamespace)
	if !ok {
		return kindOther
	}
	if problem.Type == acme.ProblemTypeMalformed || problem.Type == acme.ProblemTypeUnauthorized {
		if better := refine(problem.Detail); better != "" {
			return better
		}
	}
	return kebab(name)
}

// refine reads the text of an issuer that uses one type for several causes. Pebble calls a name that it can't resolve
// malformed, and a port that it can't reach unauthorized (va/va.go); Let's Encrypt says dns and connection.
func refine(detail string) string {
	switch {
	case strings.Contains(detail, "Could not resolve"):
		return "dns"
	case strings.Contains(detail, "Failed to connect"):
		return "connection"
	}
	return ""
}

// kindOfText goes by the text of an error if upstream keeps nothing else of it.
func kindOfText(text string) string {
	switch {
	case strings.Contains(text, "no solvers available"): // acmez, client.go: nextChallenge
		return kindNoChallenge
	case strings.Contains(text, "account pre-registration callback"): // certmagic, acmeclient.go: ZeroSSL's credentials
		return kindAccount
	}
	return kindOther
}

// kebab turns rateLimited into rate-limited, badCSR into bad-csr.
func kebab(name string) string {
	var b strings.Builder
	var before rune
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}
