package enginetest

// GoodKeys is the part of a livekit.yaml that no test of others is about.
const GoodKeys = "keys: {APIkey: 0123456789abcdef0123456789abcdef}\n"
