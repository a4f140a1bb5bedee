package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestHeadWithManyFieldsIsRefused(t *testing.T) {
	limits := &Requests{PerAddress: 10, Body: caddy.Duration(time.Second), Stall: caddy.Duration(time.Second)}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for _, name := range []func(int) string{func(int) string { return "same" }, strconv.Itoa} {
		for _, number := range []int{MaxFields, MaxFields + 1} {
			request := httptest.NewRequest(http.MethodPost, "/", nil)
			for field := range number {
				request.Header.Add("x-"+name(field), "")
			}
			var refused caddyhttp.HandlerError
			errors.As(limits.ServeHTTP(httptest.NewRecorder(), request, next), &refused)
			if wanted := number > MaxFields; (refused.StatusCode == http.StatusRequestHeaderFieldsTooLarge) != wanted {
				t.Errorf("%d fields: status %d", number, refused.StatusCode)
			}
		}
	}
}
