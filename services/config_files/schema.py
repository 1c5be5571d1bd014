"""The keys of `livekit.yaml`, as LiveKit's and OpenVidu's references publish them.

LiveKit refuses to start with a key that it does not know, or a value of another type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# Types: b(ool), i(nteger), f(loat), s(tring), d(uration), l(ist of strings), * (anything).
# A capital letter: its value is a secret, or may contain one, and is never shown.
_LOGGING = "json:b level:s pion_level:s component_levels:* sample:b item_sample_seconds:i "
_TREE: Mapping[str, str] = {
    "": "port:i bind_addresses:l prometheus_port:i environment:s key_file:S keys:* region:s "
    "log_level:s development:b",
    "prometheus": "port:i username:S password:S",
    "logging": _LOGGING,
    "rtc": "udp_port:s tcp_port:i port_range_start:i port_range_end:i node_ip:s use_external_ip:b "
    "use_ice_lite:b use_mdns:b stun_servers:l interfaces:* ips:* batch_io:* "
    "enable_loopback_candidate:b external_ip_only:b advertise_internal_ip:b strict_acks:b "
    "packet_buffer_size:i packet_buffer_size_video:i packet_buffer_size_audio:i "
    "allow_tcp_fallback:b allow_udp_unstable_fallback:b force_tcp:b "
    "reconnect_on_publication_error:b reconnect_on_subscription_error:b "
    "reconnect_on_data_channel_error:b turn_servers:* data_channel_max_buffered_amount:i "
    "forward_stats:* allow_timestamp_adjustment:b use_send_side_bwe:b "
    "use_send_side_bwe_interceptor:b enable_rtp_stream_restart_detection:b "
    "datachannel_slow_threshold:i datachannel_lossy_target_latency:d",
    "rtc.pli_throttle": "low_quality:d mid_quality:d high_quality:d",
    "rtc.congestion_control": "enabled:b allow_pause:b use_send_side_bwe:b probe_mode:s "
    "nack_ratio_attenuator:f expected_usage_threshold:f min_channel_capacity:i probe_config:* "
    "send_side_bandwidth_estimation:b channel_observer_probe_config:* "
    "channel_observer_non_probe_config:* disable_etimation_unmanaged_tracks:b "
    "stream_allocator:* remote_bwe:* send_side_bwe:* send_side_bwe_pacer:s "
    "use_send_side_bwe_interceptor:b",
    "redis": "address:s username:S password:S db:i use_tls:b tls:* sentinel_master_name:s "
    "sentinel_username:S sentinel_password:S sentinel_addresses:l cluster_addresses:l "
    "dial_timeout:i read_timeout:i write_timeout:i pool_timeout:i max_redirects:i pool_size:i",
    "audio": "active_level:i min_percentile:i update_interval:i smooth_intervals:i "
    "active_red_encoding:b enable_loss_proxying:b",
    "video": "dynacast_pause_delay:d stream_tracker:* stream_tracker_manager:* "
    "codec_regression_threshold:i",
    "room": "auto_create:b enabled_codecs:* max_participants:i empty_timeout:i "
    "departure_timeout:i enable_remote_unmute:b max_metadata_size:i sync_streams:b "
    "participant_disconnect_timeout:i max_room_name_length:i max_participant_identity_length:i "
    "max_participant_name_length:i room_configurations:* create_room_enabled:b "
    "create_room_timeout:d create_room_attempts:i update_room_metadata_timeout:d "
    "update_batch_target_size:i user_data_store_enabled:b user_data_store_ttl:d",
    "room.playout_delay": "enabled:b min:i max:i",
    "turn": "enabled:b domain:s cert_file:s key_file:s tls_port:i udp_port:i relay_range_start:i "
    "relay_range_end:i external_tls:b ttl_seconds:i bind_addresses:l",
    "ingress": "rtmp_base_url:U whip_base_url:U",
    "webhook": "urls:U api_key:S filter_params:* url_notifier:* resource_url_notifier:*",
    "node_selector": "kind:s sort_by:s algorithm:s cpu_load_limit:f sysload_limit:f "
    "hard_cpu_limit:f regions:*",
    "signal_relay": "enabled:b retry_timeout:d min_retry_interval:d max_retry_interval:d "
    "stream_buffer_size:i connect_attempts:i",
    "psrpc": "enabled:b max_attempts:i timeout:d backoff:d buffer_size:i",
    "limit": "num_tracks:i bytes_per_sec:f subscription_limit_video:i subscription_limit_audio:i "
    "max_metadata_size:i max_attributes_size:i max_room_name_length:i "
    "max_participant_identity_length:i max_participant_name_length:i max_buffered_amount:i",
    "agents": "enable_user_data_recording:b target_load:f token:S",
    "api": "execution_timeout:d check_interval:d enabled_api:*",
    "metric": "timestamper:* collector:* reporter:*",
    "node_stats": "stats_update_interval:d stats_rate_measurement_intervals:* stats_max_delay:d",
    "trace": "jaeger_url:U",
    "openvidu": "license:S cluster_id:s analytics_enabled:b node:*",
    "openvidu.analytics": "enabled:b interval:d expiration:d mongo_url:S",
    "openvidu.rtc": "engine:s",
    "openvidu.mediasoup": "debug:s log_level:s log_tags:l",
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("debug", "info", "warn", "error"),
    "logging.level": ("debug", "info", "warn", "error"),
    "openvidu.rtc.engine": ("pion", "mediasoup"),
    "openvidu.mediasoup.log_level": ("debug", "warn", "error", "none"),
    "node_selector.sort_by": (
        "random",
        "sysload",
        "cpuload",
        "rooms",
        "clients",
        "tracks",
        "bytespersec",
    ),
}


def _types() -> Iterator[tuple[str, str]]:
    for section, keys in _TREE.items():
        if section:
            yield section, "m"
        for key in keys.split():
            name, kind = key.split(":")
            yield f"{section}.{name}".lstrip("."), kind


TYPES: Mapping[str, str] = dict(_types())
# Below these, every key is allowed and no value is shown.
OPAQUE = frozenset(path for path, kind in TYPES.items() if kind == "*")


def is_shown(path: str) -> bool:
    """Return whether the value at that path of `livekit.yaml` may be shown."""
    return TYPES.get(path, "S") in set("bifsdl")


def is_url(path: str) -> bool:
    """Return whether that path holds URLs, which are shown without what may be secret."""
    return TYPES.get(path) == "U"


def type_problem(path: str, value: Any) -> str:
    """Return why LiveKit would refuse a value there; "" if it would not. Never the value."""
    kind = TYPES[path].lower()
    expected = {
        "b": ("true or false", isinstance(value, bool)),
        "i": ("a whole number", isinstance(value, int) and not isinstance(value, bool)),
        "f": ("a number", isinstance(value, int | float) and not isinstance(value, bool)),
        "s": ("text", isinstance(value, str | int | float) and not isinstance(value, bool)),
        "d": ("a duration, as 10s or 2m", _is_duration(value)),
        "l": ("a list of texts", _is_list(value)),
        "u": ("a URL, or a list of them", isinstance(value, str) or _is_list(value)),
        "m": ("a section", isinstance(value, dict)),
    }
    text, is_right = expected.get(kind, ("", True))
    if not is_right:
        return f"is {text}"
    choices = CHOICES.get(path)
    if choices and str(value) not in choices:
        return f"is one of {', '.join(choices)}"
    return ""


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_duration(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return True  # nanoseconds
    units = ("ns", "us", "ms", "s", "m", "h")
    return isinstance(value, str) and any(
        value.endswith(unit) and value.removesuffix(unit).replace(".", "", 1).isdigit()
        for unit in units
    )
