package edge

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestHeadWithManyFieldsIsRefused(t *testing.T) {
	for _, name := range []func(int) string{func(int) string { return "same" }, strconv.Itoa} {
		for _, number := range []int{MaxFields, MaxFields + 1} {
			request := httptest.NewRequest(http.MethodPost, "/", nil)
			for field := range number {
				request.Header.Add("x-"+name(field), "")
			}
			if refused := isRefused(request); refused != (number > MaxFields) {
				t.Errorf("%d fields: refused: %t", number, refused)
			}
		}
	}
}

func TestHeadThatNamesManyTrailersIsRefused(t *testing.T) {
	for _, number := range []int{MaxFields, MaxFields + 1} {
		names := make([]string, number)
		for trailer := range names {
			names[trailer] = "x-" + strconv.Itoa(trailer)
		}
		head := "POST / HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\nTrailer: " + strings.Join(names, ",")
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n0\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if refused := isRefused(request); refused != (number > MaxFields) {
			t.Errorf("%d trailers: refused: %t", number, refused)
		}
	}
}

func isRefused(request *http.Request) bool {
	limits := &Requests{PerAddress: 10, Body: caddy.Duration(time.Second), Stall: caddy.Duration(time.Second)}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	var refused caddyhttp.HandlerError
	errors.As(limits.ServeHTTP(httptest.NewRecorder(), request, next), &refused)
	return refused.StatusCode == http.StatusRequestHeaderFieldsTooLarge
}
