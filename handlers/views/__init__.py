"""Pure functions from values to cards: plans, requests, runs, status, forms.

Impact comes before steps; numbers carry units.
"""

from handlers.views.act import heading as heading
from handlers.views.act import not_covered_card as not_covered_card
from handlers.views.act import plan_changed_text as plan_changed_text
from handlers.views.audit import audit_card as audit_card
from handlers.views.audit import digest_card as digest_card
from handlers.views.audit import seal as seal
from handlers.views.break_glass import glass_notice as glass_notice
from handlers.views.break_glass import mention_approvers as mention_approvers
from handlers.views.break_glass import mention_everyone as mention_everyone
from handlers.views.break_glass import mentions as mentions
from handlers.views.ended_run import end_notice as end_notice
from handlers.views.ended_run import outcome as outcome
from handlers.views.home_tab import REFRESH as REFRESH
from handlers.views.home_tab import WAKE as WAKE
from handlers.views.later import later_card as later_card
from handlers.views.lists import OUTSIDE as OUTSIDE
from handlers.views.lists import help_card as help_card
from handlers.views.lists import runs_card as runs_card
from handlers.views.lost_state import lost_card as lost_card
from handlers.views.next_steps import NEXT as NEXT
from handlers.views.next_steps import next_step as next_step
from handlers.views.plan import impact as impact
from handlers.views.plan import plan_card as plan_card
from handlers.views.plan import title as title
from handlers.views.request import APPROVE as APPROVE
from handlers.views.request import DETAILS as DETAILS
from handlers.views.request import NOTE as NOTE
from handlers.views.request import REJECT as REJECT
from handlers.views.request import details_card as details_card
from handlers.views.request import rejected_notice as rejected_notice
from handlers.views.request import request_card as request_card
from handlers.views.run import ABANDON as ABANDON
from handlers.views.run import ANSWER as ANSWER
from handlers.views.run import CANCEL as CANCEL
from handlers.views.run import RESUME as RESUME
from handlers.views.run import after_abandon as after_abandon
from handlers.views.run import after_cancel as after_cancel
from handlers.views.run import note as note
from handlers.views.run import picked_up as picked_up
from handlers.views.run import question_notice as question_notice
from handlers.views.run import reason_notice as reason_notice
from handlers.views.run import run_card as run_card
from handlers.views.run import stopped_notice as stopped_notice
from handlers.views.run import turned_notice as turned_notice
from handlers.views.status import node_state as node_state
from handlers.views.status import status_card as status_card
from handlers.views.text import people as people
from handlers.views.text import sentence as sentence
from handlers.views.text import text_card as text_card
from handlers.views.text import without_formatting as without_formatting
