"""Mistakes that receivers make, each with the tests that show that this one does not.

There are two lists: what naive implementations of providers get wrong (`NAIVE`), and the defects that were found in
other gateways and libraries (`PEERS`). Tests are named by their file below `tests/` and their function or method.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Mistake(NamedTuple):
    """What goes wrong, the tests by file, and why there are none where there are none."""

    what: str
    tests: Mapping[str, Sequence[str]] = {}
    reason: str = ""


_MISTAKES = "unit/providers/test_mistakes.py"
_IDENTITY = "unit/providers/test_identity_mistakes.py"
_CATALOGUE = "unit/providers/catalogue"
_SHAPE = "provider_shape.py"

NAIVE: Mapping[int, Mistake] = {
    1: Mistake(
        "parses JSON and writes it again, drops a trailing CRLF, normalises line ends",
        {
            _MISTAKES: ["test_a_body_written_again_or_with_other_line_ends_is_refused"],
            f"{_CATALOGUE}/test_sendgrid.py": ["TestSendGrid.test_a_body_without_its_last_line_break_is_refused"],
        },
    ),
    2: Mistake(
        "decodes secrets that are text, or does not decode those that are hex or base64",
        {
            _MISTAKES: [
                "test_a_secret_is_decoded_exactly_where_the_provider_decodes_it",
                "test_an_item_of_adyen_s_is_signed_under_the_bytes_that_its_key_s_hex_tells",
            ]
        },
    ),
    3: Mistake(
        "takes the first signature only, and so breaks on the day of a rotation",
        {_MISTAKES: ["test_any_entry_of_a_list_of_signatures_is_enough_and_not_the_first_alone"]},
    ),
    4: Mistake(
        "collapses repeated entries of a list, or cuts base64 at its padding",
        {
            _MISTAKES: [
                "test_any_entry_of_a_list_of_signatures_is_enough_and_not_the_first_alone",
                "test_padding_behind_a_key_and_an_equals_sign_is_part_of_the_signature",
            ]
        },
    ),
    5: Mistake(
        "a short window for times that retries do not renew, milliseconds for seconds, times it cannot read",
        {
            _SHAPE: [
                "ProviderShape.test_a_retry_with_the_first_signature_is_taken_for_as_long_as_the_provider_retries"
            ],
            _MISTAKES: [
                "test_the_age_of_a_delivery_is_counted_in_the_provider_s_unit",
                "test_a_time_with_nanoseconds_is_read",
            ],
        },
    ),
    6: Mistake(
        "trusts unsigned headers for identity",
        {
            _IDENTITY: ["test_an_id_that_nothing_signs_is_bound_to_its_body"],
            "unit/receive/test_endpoint.py": ["test_an_old_body_under_a_new_unsigned_id_is_flagged_and_stored"],
        },
    ),
    7: Mistake(
        "takes for an id what is none",
        {
            _IDENTITY: [
                "test_a_retry_under_what_only_looks_like_an_id_is_the_same_event",
                "test_two_events_under_what_only_looks_like_an_id_are_two",
                "test_hooks_that_set_each_other_off_share_gitlab_s_event_uuid_and_are_two_events",
            ]
        },
    ),
    8: Mistake(
        "rebuilds the URL from the Host header, forgets the port, the query's order, repeated values",
        {
            _MISTAKES: ["test_the_url_that_is_signed_is_the_configured_one_and_no_header_changes_it"],
            "unit/providers/test_twilio.py": [
                "test_twilio_may_sign_with_or_without_the_port",
                "test_twilio_fields_are_sorted_by_byte_and_repeated_values_count_once",
            ],
            f"{_CATALOGUE}/test_square.py": ["TestSquare.test_the_url_counts_to_the_letter"],
        },
    ),
    9: Mistake(
        "takes Mailgun's body for authenticated",
        {
            f"{_CATALOGUE}/test_mailgun.py": [
                "TestMailgun.test_another_event_under_a_used_token_has_the_same_identity_and_another_body"
            ]
        },
    ),
    10: Mistake(
        "escapes Adyen's fields",
        {f"{_CATALOGUE}/test_adyen.py": ["TestAdyen.test_a_reference_is_signed_as_it_is"]},
    ),
    11: Mistake(
        "asks for a certificate wherever the sender says, or follows redirects there",
        {
            f"{_CATALOGUE}/test_aws_sns.py": [
                "TestAwsSns.test_a_certificate_of_another_host_is_refused_and_never_asked_for"
            ],
            f"{_CATALOGUE}/test_paypal.py": ["TestPayPal.test_no_other_url_is_ever_asked"],
            "integration/test_outgoing.py": ["test_a_redirect_is_an_answer_and_not_followed"],
        },
    ),
    12: Mistake(
        "answers a challenge in another form than the provider takes",
        {
            _MISTAKES: [
                "test_challenges_are_answered_in_the_one_form_that_the_provider_takes",
                "test_an_answer_that_must_be_empty_is",
            ],
            _SHAPE: ["ProviderShape.test_a_challenge_is_answered_as_prescribed"],
        },
    ),
    13: Mistake(
        "answers a bad signature with 5xx",
        {
            "unit/receive/test_responses.py": ["test_the_statuses_are_those_of_the_design"],
            "integration/test_edge_input.py": ["test_bad_input_gets_a_documented_answer_and_nothing_is_stored"],
        },
    ),
    14: Mistake(
        "answers 4xx while the log is down",
        {
            "unit/receive/test_endpoint.py": ["test_a_log_that_takes_nothing_is_503_at_once_and_counted"],
            "faults/test_kafka_brokers.py": [
                "test_without_brokers_all_are_told_to_come_again_at_once_and_memory_is_bounded"
            ],
        },
    ),
    15: Mistake(
        "compares texts, and lets bad base64, hex or a non-ASCII header raise",
        {
            _MISTAKES: ["test_a_signature_that_is_no_ascii_hex_or_base64_is_refused_and_nothing_raises"],
            "unit/providers/test_properties.py": ["test_any_bytes_anywhere_stay_inside_the_taxonomy"],
        },
    ),
    16: Mistake(
        "writes PayPal's checksum signed or in hex",
        {
            f"{_CATALOGUE}/test_paypal.py": [
                "TestPayPal.test_a_checksum_above_two_to_the_31st_is_written_without_a_sign"
            ]
        },
    ),
    17: Mistake(
        "reads the form before the bytes",
        {_IDENTITY: ["test_a_form_is_verified_and_kept_as_the_bytes_that_came"]},
    ),
    18: Mistake(
        "verifies only the raw body of Box",
        {
            f"{_CATALOGUE}/test_box.py": ["TestBox.test_a_name_beyond_ascii_is_taken_raw_too"],
            "unit/providers/test_vectors.py": ["test_a_vector_is_admitted_exactly_if_it_is_valid"],
        },
    ),
    19: Mistake(
        "takes EasyPost's secret without its normal form, or WooCommerce's with HTML entities",
        {
            f"{_CATALOGUE}/test_easypost.py": [
                "TestEasyPost.test_a_secret_counts_the_same_however_its_letters_are_composed"
            ],
            f"{_CATALOGUE}/test_woocommerce.py": ["TestWooCommerce.test_the_secret_is_the_text_that_people_see"],
        },
    ),
    20: Mistake(
        "mixes up hex, base64, DER and raw numbers of asymmetric signatures",
        {
            _MISTAKES: [
                "test_signatures_and_keys_are_taken_in_the_provider_s_own_encoding_alone",
                "test_sendgrid_s_signature_is_der_and_not_the_two_numbers_alone",
            ]
        },
    ),
    21: Mistake(
        "lets a token choose its algorithm, asks not whom it is for, or believes that it covers the body",
        {
            _MISTAKES: ["test_a_token_that_covers_no_body_is_never_called_a_signature"],
            f"{_CATALOGUE}/test_plaid.py": ["TestPlaid.test_no_other_algorithm_and_no_odd_key_id_is_looked_at"],
            f"{_CATALOGUE}/test_google_pubsub.py": ["TestGooglePubsub.test_a_token_for_another_is_refused"],
        },
    ),
    22: Mistake(
        "answers challenges without the signature that they carry, or takes a new secret at any time",
        {
            _MISTAKES: [
                "test_a_challenge_that_is_signed_is_not_answered_unsigned",
                "test_a_secret_that_arrives_is_never_taken_by_admission_itself",
            ],
            "unit/receive/test_pairing.py": ["test_a_source_that_is_not_open_takes_no_secret"],
        },
    ),
    23: Mistake(
        "signs SNS's escaped values, an absent Subject, or one version only",
        {
            f"{_CATALOGUE}/test_aws_sns.py": [
                "TestAwsSns.test_values_are_signed_as_they_read_and_not_as_json_writes_them"
            ]
        },
    ),
    24: Mistake(
        "redirects deliveries",
        {
            "unit/receive/test_responses.py": ["test_no_answer_makes_a_sender_disable_follow_or_give_up"],
            "integration/test_edge_input.py": ["test_bad_input_gets_a_documented_answer_and_nothing_is_stored"],
        },
    ),
    25: Mistake(
        "looks headers up by their case, trips over blanks that proxies add, takes a repeated signature",
        {
            _MISTAKES: ["test_blanks_that_a_proxy_puts_behind_commas_do_not_matter"],
            "unit/core/test_verifying.py": ["test_a_repeated_signature_is_refused"],
            "integration/test_edge_input.py": ["test_header_names_may_be_in_any_case"],
        },
    ),
}

PEERS: Mapping[int, Mistake] = {
    1: Mistake(
        "a Stripe source that accepts any JSON",
        {
            "unit/core/test_verifying.py": ["test_an_absent_signature_is_refused"],
            _SHAPE: ["ProviderShape.test_a_part_that_is_broken_is_refused_if_the_proof_covers_it"],
        },
    ),
    2: Mistake(
        "a Slack source that looks whether there is a signature and not at it",
        {_SHAPE: ["ProviderShape.test_another_secret_is_refused_and_the_one_that_matched_is_told"]},
    ),
    3: Mistake(
        "an acknowledgement before the event is safe",
        {
            "integration/test_edge_durability.py": [
                "test_a_hundred_copies_at_once_are_stored_once_and_none_is_answered_before_it_is"
            ],
            "faults/test_kill.py": ["test_killed_processes_lose_no_acknowledged_event_and_repeat_no_effect"],
        },
    ),
    4: Mistake(
        "400 for a log that is down, bodies cut at the cap, form keys collapsed, a look-up before the signature",
        {
            "unit/receive/test_endpoint.py": ["test_a_log_that_takes_nothing_is_503_at_once_and_counted"],
            "integration/test_edge_input.py": ["test_bad_input_gets_a_documented_answer_and_nothing_is_stored"],
            "unit/providers/test_twilio.py": ["test_twilio_fields_are_sorted_by_byte_and_repeated_values_count_once"],
            "unit/receive/test_edge_mistakes.py": ["test_an_unverified_copy_of_a_known_event_never_reaches_the_log"],
        },
    ),
    5: Mistake(
        "records without key, headers or raw bytes, a 500 of the receiver taken for delivered, no metrics",
        {
            "unit/keep/test_envelope.py": [
                "test_a_record_gives_back_the_event",
                "test_a_record_without_an_ordering_key_lies_under_its_event_id",
            ],
            "integration/test_edge_input.py": ["test_a_verified_body_is_kept_byte_for_byte_however_odd_it_is"],
            "unit/handlers/test_forward.py": ["test_a_refusal_is_a_dead_letter_with_its_status"],
            "unit/admin/test_edge_metrics.py": ["test_an_acknowledged_delivery_counts_once_and_is_observed"],
        },
    ),
    6: Mistake(
        "events dropped when their ids cannot be looked up, bodies without a bound",
        {
            "integration/test_kafka_dedupe.py": [
                "test_with_the_cluster_absent_ids_are_remembered_and_no_more_wait_than_may"
            ],
            "integration/test_edge_input.py": ["test_bad_input_gets_a_documented_answer_and_nothing_is_stored"],
        },
    ),
    7: Mistake(
        "200 before the log has it, and a check of credentials that cannot see the body",
        {
            "integration/test_edge_durability.py": [
                "test_at_the_deadline_the_answer_is_503_and_the_retry_joins_the_same_append"
            ],
            "unit/providers/test_properties.py": ["test_no_byte_of_what_is_covered_can_be_another"],
        },
    ),
    8: Mistake(
        "one append at a time, and metrics that cannot be added up",
        {
            "unit/receive/test_edge_mistakes.py": [
                "test_deliveries_of_one_source_are_appended_at_once_and_not_one_after_the_other"
            ],
            "unit/admin/test_merge.py": ["test_histograms_of_two_processes_add_up"],
        },
    ),
    9: Mistake(
        "errors for an entry without a comma and for bytes that are no text, one secret only",
        {
            "unit/core/test_verifying.py": ["test_a_bad_entry_beside_a_good_one_is_skipped"],
            _MISTAKES: [
                "test_forged_bytes_that_are_no_text_are_refused_like_any_other",
                "test_two_secrets_are_tried_for_every_provider_that_has_one",
            ],
        },
    ),
    10: Mistake(
        "times in the future taken, and forged bytes that raise",
        {
            _MISTAKES: [
                "test_a_time_too_far_ahead_is_refused_as_well",
                "test_forged_bytes_that_are_no_text_are_refused_like_any_other",
            ]
        },
    ),
    11: Mistake(
        "SHA-1 taken where it comes alone, and a failing handler that stops the others",
        {
            "unit/core/test_verifying.py": ["test_github_s_sha1_signature_is_never_tried"],
            "integration/test_worker.py": ["test_a_failing_handler_costs_its_neighbours_nothing"],
        },
    ),
    12: Mistake(
        "handling inside the request, a tolerance in another unit, the leftmost address, a header for a secret",
        {
            "faults/test_workers.py": ["test_a_frozen_worker_goes_on_where_it_stood_and_acks_never_wait_for_it"],
            "unit/core/test_verifying.py": ["test_the_source_s_tolerance_replaces_the_provider_s"],
            "unit/receive/test_clients.py": ["test_the_client_is_the_rightmost_address_no_trusted_proxy_speaks_for"],
            _MISTAKES: ["test_no_header_of_the_sender_s_replaces_a_secret"],
        },
    ),
    13: Mistake(
        "ids that are one space for all sources",
        {"integration/test_edge_durability.py": ["test_the_same_id_on_two_sources_is_two_events"]},
    ),
}
