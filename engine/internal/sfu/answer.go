package sfu

import (
	"context"
	"net"
	"net/http"
	"time"
)

// answerPatience is longer than any answer of a server in this process takes.
const answerPatience = 2 * time.Second

// waitForAnswer returns nil as soon as this process's own server answers HTTP at this address, whatever it answers.
func waitForAnswer(ctx context.Context, address string) error {
	// No proxy from the environment, and no connection that is kept.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerPatience}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
	if err != nil {
		return err
	}
	retry := time.NewTicker(2 * time.Millisecond) // longer than a refused connection on this machine takes
	defer retry.Stop()
	for {
		response, err := client.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reachable is the address to connect to for a bind address.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	switch ip := net.ParseIP(host); {
	case host == "":
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
