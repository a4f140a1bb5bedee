package sfu

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRedisThatHangsIsNotWaitedFor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts connections, and nothing answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	for kind, client := range map[string]redis.UniversalClient{
		"a server":    redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{address}}),
		"a cluster":   redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{address}, IsClusterMode: true}),
		"by sentinel": redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{address}, MasterName: "hub"}),
	} {
		t.Run(kind, func(t *testing.T) {
			defer client.Close()
			boundCommands(client)
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			err := client.HExists(ctx, "key", "field").Err()
			if err == nil || describe(err) != "it has not answered within 1s" {
				t.Error(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestRedisThatRefusesIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{listener.Addr().String()}})
	defer client.Close()
	boundCommands(client)
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), redisPatience)
		err := client.HExists(ctx, "key", "field").Err()
		cancel()
		if err == nil || !strings.Contains(describe(err), "connection refused") {
			t.Error(err)
		}
	}
}
