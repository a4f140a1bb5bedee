package probe

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// answer is an HTTP answer from where LiveKit should be. Its texts may be shown to users.
type answer struct {
	asked  *url.URL
	status int
	header http.Header
	body   string // on one line, without tokens and markup
	isHTML bool
	own    string // the code of an error in a hub's own shape, lkhub/service/errors.py; "" else
}

func readAnswer(asked *url.URL, response *http.Response, body []byte, tokens []string) answer {
	a := answer{asked: asked, status: response.StatusCode, header: response.Header}
	var hub struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &hub) == nil && hub.Error.Code != "" {
		a.own = hub.Error.Code
		a.body = redact(hub.Error.Message, tokens)
		return a
	}
	text := string(body)
	a.isHTML = strings.Contains(a.header.Get("Content-Type"), "html") || looksLikeHTML.MatchString(text)
	if a.isHTML {
		text = withoutMarkup(text)
	}
	a.body = redact(text, tokens)
	return a
}

var (
	looksLikeHTML = regexp.MustCompile(`(?i)^\s*(<!doctype|<html|<head|<body)`)
	hiddenMarkup  = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)>|<!--.*?-->`)
	markup        = regexp.MustCompile(`<[^>]*>`)
)

func withoutMarkup(text string) string {
	return html.UnescapeString(markup.ReplaceAllString(hiddenMarkup.ReplaceAllString(text, " "), " "))
}

// quoted is the body behind a colon, where there is one.
func (a answer) quoted() string {
	if a.body == "" {
		return ""
	}
	return ": " + a.body
}

// where is the URL that was asked for, without its query, which has the token.
func (a answer) where() string { return a.asked.Scheme + "://" + a.asked.Host + a.asked.Path }

// judge tells apart a LiveKit server that refuses the token, a hub that refuses the request, and anything else. stage
// is the stage that failed if the token is not the reason.
func (a answer) judge(stage Stage) *fault {
	f := func(reason Reason, format string, args ...any) *fault {
		return failed(stage, reason, format, args...).with("status", strconv.Itoa(a.status))
	}
	if a.own != "" {
		return a.judgeOwn(f)
	}
	if reason, evidence, known := livekitRefusal(a.status, a.body); known && !a.isHTML {
		refusal := failed(StageToken, reason, "the server refused the token: %s", a.body).with("status", strconv.Itoa(a.status))
		for name, value := range evidence {
			refusal = refusal.with(name, value)
		}
		return refusal
	}
	where := a.where()
	switch {
	case a.status == http.StatusOK && a.body == "success":
		return nil
	case a.status == http.StatusOK:
		return f(NotLiveKit, "%s answers, but not as LiveKit does%s", where, a.quoted())
	case a.status >= 300 && a.status < 400:
		return a.judgeRedirect(f)
	case a.status == http.StatusBadRequest && strings.Contains(a.body, "HTTPS"): // as Go's and nginx's servers say it
		return f(WantsTLS, "%s", wantsTLS(a.asked.Host))
	case a.header.Get("WWW-Authenticate") != "", a.status == http.StatusUnauthorized,
		a.status == http.StatusProxyAuthRequired:
		return f(Login, "%s wants a login of its own (HTTP %d) before LiveKit%s", where, a.status, a.quoted())
	case a.status == http.StatusForbidden:
		return f(Forbidden, "%s is refused by something in front of LiveKit (HTTP 403)%s", where, a.quoted())
	case a.status == http.StatusNotFound:
		return f(NotFound, "%s is not there (HTTP 404)%s", where, a.quoted())
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return f(Gateway, "%s: a proxy says that it does not reach what is behind it (HTTP %d)%s", where, a.status, a.quoted())
	default:
		return f(HTTPFailed, "%s answered HTTP %d%s", where, a.status, a.quoted())
	}
}

func (a answer) judgeOwn(f func(Reason, string, ...any) *fault) *fault {
	switch a.own {
	case "wrong-host":
		return f(HubWrongHost, "a hub answers at %s, and says: %s", a.where(), a.body)
	case "not-from-proxy":
		return f(HubNotTrusted, "a hub answers at %s, and says: %s", a.where(), a.body)
	}
	if a.status >= http.StatusInternalServerError {
		return f(HubMediaDown, "a hub answers at %s, and says: %s", a.where(), a.body)
	}
	return f(HubWithoutMedia, "a hub's web application answers at %s, where signalling should be: HTTP %d, %s",
		a.where(), a.status, a.body)
}

func (a answer) judgeRedirect(f func(Reason, string, ...any) *fault) *fault {
	text := a.header.Get("Location")
	location, err := a.asked.Parse(text)
	if err != nil {
		return f(Redirect, "%s redirects to nowhere (HTTP %d): %s", a.where(), a.status, redact(text, nil))
	}
	location.RawQuery, location.Fragment, location.User = "", "", nil // the query repeats what was asked for, with the token
	to := redact(location.String(), nil)
	if location.Hostname() == a.asked.Hostname() && secure(location) && !secure(a.asked) {
		return f(ToTLS, "%s wants TLS: it redirects to %s", a.where(), to).with("location", to)
	}
	return f(Redirect, "%s redirects to %s", a.where(), to).with("location", to).with("to_host", location.Hostname())
}

// livekitRefusal knows LiveKit's texts (pkg/service/auth.go, rtcservice.go and errors.go, pkg/rtc/errors.go), and those
// of the JWT library (golang-jwt/jwt/v5, errors.go; go-jose/jwt, errors.go, before 1.9).
func livekitRefusal(status int, body string) (reason Reason, evidence map[string]string, known bool) {
	if status < http.StatusBadRequest {
		return "", nil, false
	}
	for _, refusal := range livekitRefusals {
		if found := refusal.words.FindStringSubmatch(body); found != nil {
			if refusal.reason == UnknownKey && len(found) > 1 {
				evidence = map[string]string{"key": found[1]}
			}
			return refusal.reason, evidence, true
		}
	}
	return "", nil, false
}

const invalidToken = `(?:^invalid token: .*error|^invalid authorization token): .*`

var livekitRefusals = []struct {
	words  *regexp.Regexp
	reason Reason
}{
	{regexp.MustCompile(`^invalid API key(?:: ?(\S*)|$)`), UnknownKey},
	// Up to 1.13.5 the text is "invalid token: TOKEN, error: WHY", since then "invalid authorization token: WHY".
	{regexp.MustCompile(invalidToken + `(signature is invalid|error in cryptographic primitive)`), BadSignature},
	{regexp.MustCompile(invalidToken + `(token is expired|exp\))`), TokenExpired},
	{regexp.MustCompile(invalidToken + `(not valid yet|used before issued|nbf\))`), TokenTooEarly},
	{regexp.MustCompile(`^invalid authorization token: `), TokenRefused},
	{regexp.MustCompile(`^invalid authorization token`), TokenMalformed},
	{regexp.MustCompile(`^invalid authorization header`), TokenMalformed},
	{regexp.MustCompile(`^invalid token: `), TokenRefused},
	{regexp.MustCompile(`identity cannot be empty`), NoIdentity},
	{regexp.MustCompile(`room does not exist`), NoRoom},
	{regexp.MustCompile(`exceeded its max participants`), RoomFull},
	{regexp.MustCompile(`exceeded its configured limit`), LimitReached},
	{regexp.MustCompile(`^permissions denied|^no permissions to access the room`), NoGrant},
}
