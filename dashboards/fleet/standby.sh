#!/bin/sh
# Runs vmagent only while its partner sends nothing to the store that both send to.
#
# STORE is where the store is asked, such as https://prometheus.example:9090, and PARTNER is the
# partner's AGENT. If the store does not answer, everything stays as it is.
query="count_over_time(traced_image_aggregated_processes{instance=\"${PARTNER:?}\"}[1m])"
while :; do
    case $(curl -fsS -m 10 -G --data-urlencode "query=$query" "${STORE:?}/api/v1/query") in
        *'"result":[]'*) systemctl start vmagent ;;
        *'"result":[{'*) systemctl stop vmagent ;;
    esac
    sleep "${PAUSE:-10}"
done
