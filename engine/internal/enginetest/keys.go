package enginetest

// GoodKeys is the keys part of a livekit.yaml, for tests of other parts.
const GoodKeys = "keys: {APIkey: 0123456789abcdef0123456789abcdef}\n"
