package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

// restAuth accepts the credentials that LiveKit makes for a TURN server with a secret (the TURN REST scheme):
// the username is `expiry:participantSid`, the password its HMAC-SHA1 under the secret. The participant is the user.
//
// An expired credential makes no new allocation, but what it has allocated lives on: Refresh, CreatePermission and
// ChannelBind go on being accepted, as in LiveKit's own TURN server. pion's handler for the scheme refuses those
// too, and so ends a call that outlasts its credential.
func restAuth(secret, realm string) turn.AuthHandler {
	return func(request *turn.RequestAttributes) (userID string, key []byte, ok bool) {
		expiryText, participant, found := strings.Cut(request.Username, ":")
		expiry, err := strconv.ParseInt(expiryText, 10, 64)
		if !found || participant == "" || err != nil {
			return "", nil, false
		}
		if request.Method == stun.MethodAllocate && time.Now().Unix() > expiry {
			return "", nil, false
		}
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(request.Username))
		password := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		return participant, turn.GenerateAuthKey(request.Username, realm, password), true
	}
}
