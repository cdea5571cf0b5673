"""What operators ask for: checked, appended to the log, and the planner's answer.

Place in the flow: routes → **commands** → `autonomy.commands` → answer.
"""
