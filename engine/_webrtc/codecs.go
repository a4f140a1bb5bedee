package webrtc

import "reflect"

// sameCodecs says whether two sections of a description name the same codecs, with the same payload types.
func sameCodecs(one, other []RTPCodecParameters) bool { return reflect.DeepEqual(one, other) }
