package portmap

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Do asks this machine's router for what the request names.
func Do(ctx context.Context, request Request) Answer {
	return asker{findGateways, realEndpoints}.do(ctx, request)
}

// asker knows where routers are and how to reach them.
type asker struct {
	gateways  func() []netip.Addr
	endpoints func(uplink) endpoints
}

func (a asker) do(ctx context.Context, request Request) Answer {
	if request.Action == ActionUnmap {
		return a.unmap(ctx, *request.Record)
	}
	uplink, failure := findUplink(a.gateways())
	if failure != nil {
		return fail(Answer{}, failure)
	}
	record := request.Record
	if request.Action == ActionRenew && record.Gateway != uplink.gateway {
		return fail(Answer{Gateway: uplink.gateway.String(), Local: uplink.local.String()}, &Failure{OtherRouter, fmt.Sprintf(
			"they are those of the router at %s, and this machine's is now %s", record.Gateway, uplink.gateway)})
	}
	wanted := request.Mappings
	if request.Action == ActionRenew {
		wanted = record.ports()
	}
	endpoints := a.endpoints(uplink)
	if record != nil && record.Gateway == uplink.gateway && record.Local == uplink.local {
		answer := endpoints.mapAgain(ctx, *record, wanted, request.Seconds)
		// Another router at this address may speak another protocol.
		if request.Action == ActionRenew || answer.Error == nil || answer.Error.Code != NoAnswer {
			return answer
		}
	}
	return endpoints.mapFirst(ctx, wanted, request.Seconds)
}

// mapFirst asks in each protocol until the router answers.
func (p endpoints) mapFirst(ctx context.Context, wanted []Port, seconds uint32) Answer {
	var tried []Tried
	for _, router := range p.routers() {
		answer := p.mapAll(ctx, router, wanted, seconds, nil)
		if answer.Error == nil || answer.Error.Code != NoAnswer {
			return answer
		}
		tried = append(tried, answer.Tried...)
	}
	return p.silent(Answer{Mappings: unasked(wanted)}, tried)
}

// mapAgain asks for these ports in the record's protocol; they replace the record's ports.
func (p endpoints) mapAgain(ctx context.Context, record Record, wanted []Port, seconds uint32) Answer {
	answer := p.mapAll(ctx, p.open(record), wanted, seconds, record.Mappings)
	if answer.Error != nil {
		return answer
	}
	isWanted := func(old Recorded) bool {
		return slices.ContainsFunc(wanted, func(port Port) bool { return port.key() == old.key() })
	}
	left := record
	left.Mappings = slices.DeleteFunc(slices.Clone(record.Mappings), isWanted)
	returned := p.giveBack(ctx, left)
	answer.Mappings = append(answer.Mappings, returned.Mappings...)
	answer.Error = returned.Error
	return answer
}

// mapAll asks a router for each port in turn, and gives all new ports back if one is not granted. Earlier ports stay.
func (p endpoints) mapAll(ctx context.Context, router router, wanted []Port, seconds uint32, before []Recorded) Answer {
	answer := p.answer(router)
	answer.Mappings = unasked(wanted)
	for i, port := range wanted {
		result := &answer.Mappings[i]
		given, err := router.request(ctx, port, seconds)
		if err != nil {
			result.Reason, result.Text = Refused, err.Error()
			if isSilence(err) {
				result.Reason = NoAnswer
			}
		} else {
			*result = Result{Port: port, Reason: Granted, ExternalPort: given.port, Seconds: given.seconds, Own: given.own}
			answer.ExternalAddress = given.address.String()
			if given.port != port.Port {
				result.Reason = OtherPort
				result.Text = fmt.Sprintf("it gave external port %d: %d is taken", given.port, port.Port)
			}
		}
		switch {
		case result.Reason == Granted:
			continue
		case result.Reason == NoAnswer && i == 0:
			return p.silent(answer, []Tried{{router.means(), NoAnswer, result.Text}})
		}
		p.takeBack(ctx, router, answer.Mappings[:i+1], before)
		if result.Reason == NoAnswer {
			return fail(answer, &Failure{Stopped, fmt.Sprintf("the router at %s stopped answering", p.gateway)})
		}
		return fail(answer, &Failure{result.Reason, fmt.Sprintf(
			"the router at %s refused %s: %s", p.gateway, port, result.Text)})
	}
	return answer
}

// takeBack gives back ports that were not mapped before. A port that the router keeps ends with its lease.
func (p endpoints) takeBack(ctx context.Context, router router, made []Result, before []Recorded) {
	for i := range made {
		result := &made[i]
		known := slices.ContainsFunc(before, func(old Recorded) bool { return old.key() == result.key() })
		if !result.Own || known || (result.Reason != Granted && result.Reason != OtherPort) {
			continue
		}
		if err := router.release(ctx, result.Port); err == nil && result.Reason == Granted {
			result.Reason = TakenBack
		}
	}
}

// unmap gives the ports of a record back to the router that the record names. That router must be a gateway of this
// machine, but need not be the first.
func (a asker) unmap(ctx context.Context, record Record) Answer {
	endpoints := a.endpoints(uplink{record.Gateway, record.Local})
	gateways := a.gateways()
	if slices.Contains(gateways, record.Gateway) {
		return endpoints.giveBack(ctx, record)
	}
	answer := endpoints.answer(endpoints.open(record))
	reason, text := NoRouter, "this machine has no router"
	if len(gateways) > 0 {
		reason, text = OtherRouter, fmt.Sprintf("this machine's router is now %s", gateways[0])
	}
	for _, mapping := range record.Mappings {
		if mapping.Own {
			answer.Mappings = append(answer.Mappings, Result{Port: mapping.Port, Reason: reason, Text: text, Own: true})
		}
	}
	return endpoints.kept(answer)
}

// giveBack gives back the ports of a record that are ours.
func (p endpoints) giveBack(ctx context.Context, record Record) Answer {
	router := p.open(record)
	answer := p.answer(router)
	for _, mapping := range record.Mappings {
		if !mapping.Own {
			continue
		}
		result := Result{Port: mapping.Port, Reason: GivenBack, Own: true}
		if err := router.release(ctx, mapping.Port); err != nil {
			result.Reason, result.Text = Refused, err.Error()
			if isSilence(err) {
				result.Reason = NoAnswer
			}
		}
		answer.Mappings = append(answer.Mappings, result)
	}
	return p.kept(answer)
}

// kept makes an answer a failure if a port was not given back.
func (p endpoints) kept(answer Answer) Answer {
	var kept []string
	for _, result := range answer.Mappings {
		if result.Reason != GivenBack {
			kept = append(kept, fmt.Sprintf("%s (%s)", result.Port, result.Text))
		}
	}
	if kept == nil {
		return answer
	}
	return fail(answer, &Failure{NotReturned, fmt.Sprintf(
		"the router at %s keeps %s", p.gateway, strings.Join(kept, ", "))})
}

func (p endpoints) silent(answer Answer, tried []Tried) Answer {
	answer.Gateway, answer.Local, answer.Tried = p.gateway.String(), p.local.String(), tried
	said := make([]string, 0, len(tried))
	for _, t := range tried {
		said = append(said, t.Means+": "+t.Text)
	}
	return fail(answer, &Failure{NoAnswer, fmt.Sprintf(
		"the router at %s does not take requests for port mappings (%s)", p.gateway, strings.Join(said, "; "))})
}

// answer is an answer without ports.
func (p endpoints) answer(router router) Answer {
	return Answer{
		Gateway: p.gateway.String(), Local: p.local.String(), Means: router.means(),
		Nonce: router.nonce(), ExternalAddress: netip.IPv4Unspecified().String(), Mappings: []Result{}, Tried: []Tried{},
	}
}

func unasked(wanted []Port) []Result {
	results := make([]Result, 0, len(wanted))
	for _, port := range wanted {
		results = append(results, Result{Port: port, Reason: NotAsked})
	}
	return results
}

func fail(answer Answer, failure *Failure) Answer {
	answer.Error = failure
	if answer.Mappings == nil {
		answer.Mappings = []Result{}
	}
	if answer.Tried == nil {
		answer.Tried = []Tried{}
	}
	return answer
}
