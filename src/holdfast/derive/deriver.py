"""Everything that is derived from one event, and from one query, without a model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import chain

from holdfast.derive.calendar import DAY_S, date_of, weekday_of
from holdfast.derive.surprise import Surprise
from holdfast.derive.terms import hash_term, query_terms, terms, words
from holdfast.derive.time_grammar import MONTHS, WEEKDAYS
from holdfast.derive.times import Moment, mentions_time, resolve
from holdfast.derive.tokens import count_tokens
from holdfast.records import Event
