package portmap

import (
	"context"
	"strings"
	"testing"
)

func TestUPnPMapsAndGivesBack(t *testing.T) {
	for _, service := range []string{"WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"} {
		router, where := startIGD(t)
		router.service = service
		asked := &upnp{endpoints: where}
		got, err := asked.request(context.Background(), media, 43200)
		if err != nil || got.port != 7882 || got.address.String() != "1.2.3.4" || *got.seconds != 43200 || !got.own {
			t.Fatalf("%s: %v %v", service, got, err)
		}
		if want := (entry{7882, "127.0.0.1", media.Name, 43200}); router.table["UDP 7882"] != want {
			t.Errorf("%s: %v", service, router.table)
		}
		if _, err := asked.request(context.Background(), web, 43200); err != nil {
			t.Fatal(err)
		}
		for _, port := range []Port{media, web, web} { // once more than there are
			if err := asked.release(context.Background(), port); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
		if len(router.table) != 0 {
			t.Errorf("%s: %v is left", service, router.table)
		}
		want := "search description GetSpecificPortMappingEntry AddPortMapping GetExternalIPAddress"
		if got := router.verbs(); !strings.HasPrefix(got, want) || strings.Count(got, "GetExternal") != 1 {
			t.Errorf("%s: %s", service, got)
		}
	}
}

func TestMappingOfAnotherProgramIsUsedWhereItLeadsHere(t *testing.T) {
	router, where := startIGD(t)
	router.table["UDP 7882"] = entry{7882, "127.0.0.1", "my own", 0}
	got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	if err != nil || got.own || got.seconds != nil || strings.Contains(router.verbs(), "AddPortMapping") {
		t.Error(got, err, router.verbs())
	}
	for _, other := range []entry{{7882, "127.0.0.9", "a game", 0}, {9, "127.0.0.1", "a game", 0}} {
		router.table["UDP 7882"] = other
		_, err = (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		expect(t, err, Refused, "port 7882 goes to "+other.client)
	}
}

func TestMappingOfOursIsMovedToAnotherAddress(t *testing.T) {
	router, where := startIGD(t)
	router.table["UDP 7882"] = entry{7882, "127.0.0.9", media.Name, 60}
	if _, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200); err != nil {
		t.Fatal(err)
	}
	if router.table["UDP 7882"].client != "127.0.0.1" || !strings.Contains(router.verbs(), "DeletePortMapping AddPort") {
		t.Error(router.table, router.verbs())
	}
}

func TestRouterWithoutLeasesMapsForGood(t *testing.T) {
	router, where := startIGD(t)
	router.refuses = func(verb string, arguments map[string]string) int {
		if verb == "AddPortMapping" && arguments["NewLeaseDuration"] != "0" {
			return onlyPermanent
		}
		return 0
	}
	got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	if err != nil || got.seconds != nil || len(router.table) != 1 {
		t.Error(got, err, router.table)
	}
}

func TestRefusalsOfUPnPAreTold(t *testing.T) {
	for _, c := range []struct {
		verb string
		code int
		text string
	}{
		{"AddPortMapping", inConflict, "port 7882 is taken"},
		{"AddPortMapping", inConflictOfKind, "port 7882 is taken"},
		{"AddPortMapping", 606, "UPnP error 606, as the test says"},
		{"GetSpecificPortMappingEntry", 501, "UPnP error 501"},
		{"GetExternalIPAddress", 501, "UPnP error 501"},
	} {
		router, where := startIGD(t)
		router.refuses = func(verb string, _ map[string]string) int {
			if verb == c.verb {
				return c.code
			}
			return 0
		}
		_, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		expect(t, err, Refused, c.text)
	}
}

// A router may say anything, and as much of it as it likes.
func TestTextOfARouterIsOneShortLine(t *testing.T) {
	wild := "\u009b31m\u202e [red]&#10;error: a line of its own" + strings.Repeat("x", 50_000)
	router, where := startIGD(t)
	router.reason = wild
	router.refuses = func(string, map[string]string) int { return 501 }
	_, refusal := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, refusal, Refused, "UPnP error 501, 31m [red] error: a line of its ownxxx")

	router, where = startIGD(t)
	router.table["UDP 7882"] = entry{7882, wild, "a game", 0}
	_, taken := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, taken, Refused, "port 7882 goes to 31m [red] error: a line of its ownxxx")

	for _, err := range []error{refusal, taken} {
		if length := len([]rune(err.Error())); length > maxText+1 {
			t.Errorf("%d characters", length)
		}
	}
}

func TestMappingIsGivenBackIfTheRouterDoesNotTellItsAddress(t *testing.T) {
	router, where := startIGD(t)
	router.refuses = func(verb string, arguments map[string]string) int {
		switch {
		case verb == "GetExternalIPAddress":
			return 501
		case verb == "AddPortMapping" && arguments["NewLeaseDuration"] != "0":
			return onlyPermanent
		}
		return 0
	}
	_, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, err, Refused, "UPnP error 501")
	if len(router.table) != 0 {
		t.Errorf("%v stays for good", router.table)
	}
}

func TestRouterThatIsNotConnectedHasNoAddress(t *testing.T) {
	for _, said := range []string{"", "none", "2001:db8::1"} {
		router, where := startIGD(t)
		router.external = said
		got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		if err != nil || got.address.String() != "0.0.0.0" {
			t.Error(got, err)
		}
	}
}
