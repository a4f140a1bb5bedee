"""The keys of livekit.yaml, by the version that has them first; and those that are gone.

Compared over the tags of livekit-server from 1.4.0 to 1.13.5 (pkg/config/config.go, and the packages whose types are in
it). Items of lists, free names and the tuning keys of congestion control are not among them.
"""

_SINCE = {
    "1.4.0": """
    audio.active_level audio.active_red_encoding audio.min_percentile audio.smooth_intervals
    audio.update_interval bind_addresses development ingress.rtmp_base_url key_file keys limit.bytes_per_sec
    limit.num_tracks log_level logging.item_sample_initial logging.item_sample_interval
    logging.item_sample_seconds logging.json logging.level logging.pion_level logging.sample
    logging.sample_initial logging.sample_interval node_selector.cpu_load_limit node_selector.kind
    node_selector.regions node_selector.sort_by node_selector.sysload_limit port prometheus_port redis.address
    redis.cluster_addresses redis.db redis.max_redirects redis.password redis.sentinel_addresses
    redis.sentinel_master_name redis.sentinel_password redis.sentinel_username redis.use_tls redis.username
    region room.auto_create room.empty_timeout room.enable_remote_unmute room.enabled_codecs
    room.max_metadata_size room.max_participants rtc.allow_tcp_fallback rtc.congestion_control.allow_pause
    rtc.congestion_control.enabled rtc.enable_loopback_candidate rtc.force_tcp rtc.interfaces.excludes
    rtc.interfaces.includes rtc.ips.excludes rtc.ips.includes rtc.node_ip rtc.packet_buffer_size
    rtc.pli_throttle.high_quality rtc.pli_throttle.low_quality rtc.pli_throttle.mid_quality rtc.port_range_end
    rtc.port_range_start rtc.reconnect_on_publication_error rtc.reconnect_on_subscription_error rtc.strict_acks
    rtc.stun_servers rtc.tcp_port rtc.turn_servers rtc.udp_port rtc.use_external_ip rtc.use_ice_lite
    rtc.use_mdns signal_relay.stream_buffer_size sip turn.cert_file turn.domain turn.enabled turn.external_tls
    turn.key_file turn.relay_range_end turn.relay_range_start turn.tls_port turn.udp_port
    video.dynacast_pause_delay webhook.api_key webhook.urls
    """,
    "1.4.2": """
    ingress.whip_base_url limit.subscription_limit_audio limit.subscription_limit_video
    signal_relay.max_retry_interval signal_relay.min_retry_interval signal_relay.retry_timeout
    """,
    "1.4.4": """
    redis.dial_timeout redis.read_timeout redis.write_timeout
    """,
    "1.4.5": """
    logging.component_levels room.playout_delay.enabled room.playout_delay.min rtc.external_ip_only
    """,
    "1.5.0": """
    room.playout_delay.max room.sync_streams rtc.batch_io.batch_size rtc.batch_io.max_flush_interval
    rtc.reconnect_on_data_channel_error
    """,
    "1.5.1": """
    psrpc.backoff psrpc.buffer_size psrpc.max_attempts psrpc.timeout rtc.data_channel_max_buffered_amount
    """,
    "1.5.2": """
    redis.pool_size redis.pool_timeout
    """,
    "1.5.3": """
    redis.tls
    """,
    "1.6.0": """
    audio.enable_loss_proxying room.departure_timeout rtc.packet_buffer_size_audio rtc.packet_buffer_size_video
    """,
    "1.6.2": """
    room.max_participant_identity_length room.max_room_name_length rtc.forward_stats.report_interval
    rtc.forward_stats.report_window rtc.forward_stats.summary_interval
    """,
    "1.6.3": """
    limit.max_attributes_size limit.max_metadata_size limit.max_participant_identity_length
    limit.max_room_name_length
    """,
    "1.7.1": """
    limit.max_participant_name_length prometheus.password prometheus.port prometheus.username
    room.room_configurations
    """,
    "1.8.0": """
    metric.timestamper_config.one_way_delay_estimator_max_batch
    metric.timestamper_config.one_way_delay_estimator_min_interval room.create_room_attempts
    room.create_room_timeout signal_relay.connect_attempts
    """,
    "1.8.2": """
    metric.collector.batch_interval_ms metric.collector.sampling_interval_ms
    metric.reporter.reporting_interval_ms rtc.congestion_control.remote_bwe rtc.congestion_control.send_side_bwe
    rtc.congestion_control.stream_allocator rtc.congestion_control.use_send_side_bwe
    rtc.congestion_control.use_send_side_bwe_interceptor rtc.datachannel_slow_threshold
    video.stream_tracker_manager
    """,
    "1.9.0": """
    node_stats.stats_max_delay node_stats.stats_rate_measurement_intervals node_stats.stats_update_interval
    rtc.congestion_control.send_side_bwe_pacer rtc.sctp_cwnd_ca_step rtc.sctp_fast_rtx_wnd rtc.sctp_min_cwnd
    video.codec_regression_threshold webhook.resource_url_notifier.max_age
    webhook.resource_url_notifier.max_depth webhook.url_notifier.num_workers webhook.url_notifier.queue_size
    """,
    "1.9.1": """
    room.update_batch_target_size rtc.use_stun_port_as_ice
    """,
    "1.9.2": """
    agents.enable_user_data_recording node_selector.algorithm webhook.filter_params.exclude_events
    webhook.filter_params.include_events
    """,
    "1.9.6": """
    rtc.datachannel_lossy_target_latency
    """,
    "1.9.7": """
    enable_data_tracks
    """,
    "1.9.9": """
    rtc.enable_rtp_stream_restart_detection
    """,
    "1.9.11": """
    trace.jaeger_url
    """,
    "1.10.1": """
    api.check_interval api.enable_psrpc_for_get_list_participants api.execution_timeout api.max_check_interval
    turn.bind_addresses
    """,
    "1.11.0": """
    agents.target_load
    """,
    "1.12.0": """
    turn.allow_restricted_peer_cidrs turn.deny_peer_cidrs turn.ttl_seconds
    """,
    "1.13.0": """
    rtc.advertise_internal_ip rtc.host_acceptance_min_wait rtc.prflx_acceptance_min_wait
    rtc.relay_acceptance_min_wait rtc.skip_external_ip_validation rtc.srflx_acceptance_min_wait
    """,
    "1.13.1": """
    rtc.allow_udp_unstable_fallback rtc.tcp_fallback_rtt_threshold
    """,
    "1.13.2": """
    debug_handler.port enable_participant_data_blob limit.max_data_blob_key_length limit.max_data_blobs_size
    """,
    "1.13.3": """
    limit.max_data_track_custom_encoding_length
    """,
    "1.13.4": """
    agents.enable_user_data_redaction rtc.datachannel_data_track_target_latency
    """,
    "1.13.6": """
    limit.agent_signal_message_size_limit limit.max_api_request_body_size limit.signal_message_size_limit
    room.enable_full_room_in_webhooks rtc.enable_warp turn.per_user_relay_allocation_limit
    """,
}

SINCE = {key: version for version, keys in _SINCE.items() for key in keys.split()}
"""The first version that knows a key, by its dotted path. No version before 1.4.0 was looked at."""

PARTS = {".".join(parts[:length]) for parts in (key.split(".") for key in SINCE) for length in range(1, len(parts) + 1)}
"""All of them, and the parts that they are in."""

_UNTIL_1_8_0 = """
    probe_config channel_observer_probe_config channel_observer_non_probe_config nack_ratio_attenuator
    expected_usage_threshold min_channel_capacity probe_mode padding_mode send_side_bandwidth_estimation
"""

UNTIL = {
    "room.create_room_enabled": "1.13.1",
    "signal_relay.enabled": "1.5.2",
    "psrpc.enabled": "1.5.2",
    "environment": "1.5.3",
    "video.stream_tracker": "1.8.0",
    **{f"rtc.congestion_control.{name}": "1.8.0" for name in _UNTIL_1_8_0.split()},
}
"""The last version that knows a key which is gone by now."""

_DURATIONS = """
    api.check_interval api.execution_timeout api.max_check_interval
    metric.timestamper_config.one_way_delay_estimator_min_interval node_stats.stats_max_delay
    node_stats.stats_update_interval psrpc.backoff psrpc.timeout redis.pool_timeout room.create_room_timeout
    rtc.batch_io.max_flush_interval rtc.datachannel_data_track_target_latency
    rtc.datachannel_lossy_target_latency rtc.forward_stats.report_interval rtc.forward_stats.report_window
    rtc.forward_stats.summary_interval rtc.pli_throttle.high_quality rtc.pli_throttle.low_quality
    rtc.pli_throttle.mid_quality signal_relay.max_retry_interval signal_relay.min_retry_interval
    signal_relay.retry_timeout video.dynacast_pause_delay webhook.resource_url_notifier.max_age
"""
DURATIONS = set(_DURATIONS.split())
"""Keys whose values are times with a unit, as `5s`. All other times are numbers."""

SECONDS = {"room.empty_timeout", "room.departure_timeout"}
"""Keys whose values are numbers of seconds."""
