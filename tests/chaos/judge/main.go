// Command judge reads a history of calls, one JSON object a line, and says whether it is linearizable for each video and each address.
//
//	judge [-seconds 60] < history.jsonl
//
// It prints one JSON line for each video or address that is illegal or undecided, and last a line with the numbers of all. It exits with 0 if
// everything is linearizable, 1 if something is not, 2 for a history it cannot read, and 3 if the time did not suffice for something.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Call is one line: what was called, when it began and ended (nanoseconds of one monotonic clock), and its result.
type Call struct {
	Kind   string `json:"kind"`   // rating, account or video
	Key    string `json:"key"`    // the video, or the address
	Action string `json:"action"` // what the call does: rate, get; create, verify; submit, get
	Caller int    `json:"caller"`
	Begin  int64  `json:"begin"`
	End    int64  `json:"end"`
	Result string `json:"result"` // ok, refused (an answer too: it is taken, or there is nothing) or unknown
	User   string `json:"user"`   // who rates, submits, is created; in an answer, whom was found
	Text   string `json:"text"`   // the password, or the name of the video
	Number int    `json:"number"` // the rating; in an answer, how many there are
	Total  int    `json:"total"`  // in an answer, the sum of the ratings

	contended bool // another's write of the same key was under way, or its outcome is unknown
}

// A Verdict is one line of the output.
type Verdict struct {
	Kind    string `json:"kind"`
	Key     string `json:"key"`
	Calls   int    `json:"calls"`
	Verdict string `json:"verdict"`
}

func main() {
	seconds := flag.Float64("seconds", 60, "the time for each video or address")
	flag.Parse()
	calls, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(judge(calls, time.Duration(*seconds*float64(time.Second)), os.Stdout))
}

func read(input io.Reader) ([]Call, error) {
	var calls []Call
	lines := bufio.NewScanner(input)
	for number := 1; lines.Scan(); number++ {
		var call Call
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, known := models[call.Kind]; !known {
			return nil, fmt.Errorf("line %d: no such kind: %q", number, call.Kind)
		}
		if !actions[call.Kind+" "+call.Action] {
			return nil, fmt.Errorf("line %d: no such action: %q", number, call.Action)
		}
		if call.Result != "ok" && call.Result != "refused" && call.Result != "unknown" {
			return nil, fmt.Errorf("line %d: no such result: %q", number, call.Result)
		}
		calls = append(calls, call)
	}
	return calls, lines.Err()
}

// judge prints the verdicts and returns the exit code.
func judge(calls []Call, limit time.Duration, output io.Writer) int {
	type place struct{ kind, key string }
	parts := map[place][]Call{}
	for _, call := range calls {
		parts[place{call.Kind, call.Key}] = append(parts[place{call.Kind, call.Key}], call)
	}
	places := make([]place, 0, len(parts))
	for each := range parts {
		places = append(places, each)
	}
	sort.Slice(places, func(i, j int) bool {
		return places[i].kind+places[i].key < places[j].kind+places[j].key
	})
	lines := json.NewEncoder(output)
	counts := map[string]int{"Ok": 0, "Illegal": 0, "Unknown": 0}
	for _, each := range places {
		part := parts[each]
		result := porcupine.CheckOperationsTimeout(models[each.kind], operations(part), limit)
		counts[string(result)]++
		if result != porcupine.Ok {
			_ = lines.Encode(Verdict{each.kind, each.key, len(part), string(result)})
		}
	}
	_ = lines.Encode(map[string]int{
		"calls": len(calls), "linearizable": counts["Ok"], "illegal": counts["Illegal"], "undecided": counts["Unknown"],
	})
	switch {
	case counts["Illegal"] > 0:
		return 1
	case counts["Unknown"] > 0:
		return 3
	}
	return 0
}

// operations makes porcupine's history of the calls of one key. A write whose outcome is unknown stays open to the end: it may take effect at any
// time, or never. A read whose answer is unknown says nothing, nor does a write of an unknown outcome that no read shows: nothing is explained by it
// but that another was refused meanwhile, which `contended` knows. Each such call that is left out saves the judge much time.
func operations(calls []Call) []porcupine.Operation {
	shown := map[owned]bool{}
	for _, call := range calls {
		if !writes[call.Action] && call.Result == "ok" {
			shown[owned{call.User, call.Text}] = true
		}
	}
	var history []porcupine.Operation
	for _, call := range calls {
		end := call.End
		if call.Result == "unknown" {
			if !writes[call.Action] || call.Kind != "rating" && !shown[owned{call.User, call.Text}] {
				continue
			}
			end = math.MaxInt64
		}
		call.contended = contended(call, calls)
		history = append(history, porcupine.Operation{ClientId: call.Caller, Input: call, Call: call.Begin, Output: call, Return: end})
	}
	return history
}

// contended says whether another user's write of the same key overlaps a call, or has an unknown outcome: such a write may hold a claim.
func contended(call Call, calls []Call) bool {
	for _, other := range calls {
		if writes[other.Action] && other.User != call.User && other.Begin <= call.End &&
			(other.Result == "unknown" || other.End >= call.Begin) {
			return true
		}
	}
	return false
}
