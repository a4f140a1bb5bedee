package relay

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

// restAuth accepts the credentials that LiveKit makes for a TURN server with a secret (the TURN REST scheme): the
// username is `expiry:participantSid`, and the password is its HMAC-SHA1 under the secret. The user is a holder.
//
// pion's handler for this scheme refuses every request once the credential has expired, so it ends a call that lasts
// longer. LiveKit's own TURN server then refuses only Allocate, so allocations can go on for ever. Here outlives
// decides whether an expired credential is still good.
func restAuth(secret, realm string, outlives func(participant string, allocates bool) bool) turn.AuthHandler {
	return func(request *turn.RequestAttributes) (userID string, key []byte, ok bool) {
		expiryText, participant, found := strings.Cut(request.Username, ":")
		expiry, err := strconv.ParseInt(expiryText, 10, 64)
		if !found || participant == "" || err != nil {
			return "", nil, false
		}
		if time.Now().Unix() > expiry && !outlives(participant, request.Method == stun.MethodAllocate) {
			return "", nil, false
		}
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(request.Username))
		password := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		return newHolder(participant, request.SrcAddr).String(), turn.GenerateAuthKey(request.Username, realm, password), true
	}
}
