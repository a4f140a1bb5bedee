package webrtc

// EnableSped does nothing. livekit-server calls it where rtc.enable_warp is set, which the engine refuses: only a fork of
// this module that can't be had has what it stands for, DTLS in STUN (SPED).
func (e *SettingEngine) EnableSped(bool) {}
