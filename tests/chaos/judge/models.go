package main

import (
	"sort"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

var actions = map[string]bool{
	"rating rate": true, "rating get": true,
	"account create": true, "account verify": true,
	"video submit": true, "video get": true,
}

var writes = map[string]bool{"rate": true, "create": true, "submit": true}

var models = map[string]porcupine.Model{
	"rating":  {Init: func() interface{} { return "" }, Step: stepRating},
	"account": {Init: func() interface{} { return owned{} }, Step: stepAccount},
	"video":   {Init: func() interface{} { return owned{} }, Step: stepVideo},
}

// stepRating: one rating for each user, the later one counts; the answer is their number and sum. The state is a line "user=rating" for each user, in
// their order, so that equal states are equal texts.
func stepRating(state, input, output interface{}) (bool, interface{}) {
	ratings, call := state.(string), input.(Call)
	if call.Action == "rate" {
		return true, rated(ratings, call.User, call.Number)
	}
	number, total := 0, 0
	for _, each := range entries(ratings) {
		_, text, _ := strings.Cut(each, "=")
		rating, _ := strconv.Atoi(text)
		number, total = number+1, total+rating
	}
	answer := output.(Call)
	return answer.Number == number && answer.Total == total, ratings
}

func rated(ratings, user string, rating int) string {
	kept := []string{user + "=" + strconv.Itoa(rating)}
	for _, each := range entries(ratings) {
		if !strings.HasPrefix(each, user+"=") {
			kept = append(kept, each)
		}
	}
	sort.Strings(kept)
	return strings.Join(kept, "\n")
}

func entries(ratings string) []string {
	if ratings == "" {
		return nil
	}
	return strings.Split(ratings, "\n")
}

// owned is an address or a video: whose it is, and with which password, or under which name. Without a user nobody has it.
type owned struct{ user, text string }

// stepAccount: an address belongs to the first user who is created with it. Whoever comes while another may hold a claim can be told that it is
// taken, whatever becomes of the claim.
func stepAccount(state, input, output interface{}) (bool, interface{}) {
	account, call, answer := state.(owned), input.(Call), output.(Call)
	if call.Action == "verify" {
		if answer.Result == "ok" {
			return account == owned{answer.User, call.Text}, account
		}
		return account.user == "" || account.text != call.Text, account
	}
	switch {
	case answer.Result == "refused":
		return account.user != "" || call.contended, account
	case account.user == "":
		return true, owned{call.User, call.Text}
	}
	// A creation whose outcome is unknown may have been refused; one that was acknowledged was not.
	return answer.Result == "unknown", account
}

// stepVideo: a video belongs to the first user who submits it, and shows what they submitted last.
func stepVideo(state, input, output interface{}) (bool, interface{}) {
	video, call, answer := state.(owned), input.(Call), output.(Call)
	if call.Action == "get" {
		if answer.Result == "ok" {
			return video == owned{answer.User, answer.Text}, video
		}
		return video.user == "", video
	}
	switch {
	case answer.Result == "refused":
		return (video.user != "" && video.user != call.User) || call.contended, video
	case video.user == "" || video.user == call.User:
		return true, owned{call.User, call.Text}
	}
	return answer.Result == "unknown", video
}
