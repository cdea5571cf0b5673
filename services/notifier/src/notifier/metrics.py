"""What the notifier counts; receivers go by their names in the rules, of which there are few.

Place in the flow: told by desks and the watch.
"""

from prometheus_client import Counter, Gauge

SENT = Counter("autonomy_notifier_sent", "Messages that a receiver took", ["receiver"])
FAILED = Counter("autonomy_notifier_failed_tries", "Tries to send that a receiver did not take", ["receiver"])
WAITING = Gauge("autonomy_notifier_waiting", "Facts and alarms that wait to be sent", ["receiver"])
FAILING = Gauge(
    "autonomy_notifier_failing_since_seconds", "Since when a receiver takes nothing, as a timestamp; 0 while it does", ["receiver"]
)
ALARMS = Gauge("autonomy_notifier_alarm", "1 while a silence or a halt is told", ["code"])
