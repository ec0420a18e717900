"""FIX's order life-cycle scenarios (appendix D, "order state changes"), as far as a single venue can run.

Ids are those of FIX 4.4 and later, numbers those of its tables; the words are ours. `known` says how well a
table is known: read, secondary (from texts that name it), or reconstructed from rules, which is no claim of
conformance. A step is

    in  new ID QUANTITY [TIF] | cancel ID of ORDER | replace ID of ORDER QUANTITY | status ID
    event  WHAT
    out  ID [of ORDER] EXEC_TYPE ORD_STATUS QUANTITY CUM LEAVES LAST
    out  ID of ORDER cancel_reject ORD_STATUS [REASON]

and `alt` is the branch that refuses, after which the next row happens all the same.
"""

from typing import NamedTuple


class Scenario(NamedTuple):
    """One scenario; `missing` says why it cannot run here, `remark` in what it differs."""

    id: str
    title: str
    known: str
    steps: str = ""
    missing: str = ""
    remark: str = ""


SCENARIOS = (
    Scenario(
        "A.1.a",
        "A new order is filled by three trades",
        "secondary",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        out X trade partially_filled 10000 3000 7000 1000
        out X trade filled 10000 10000 0 7000
        """,
    ),
    Scenario(
        "A.1.b",
        "A day order, partly filled, at the end of its day",
        "read",
        """
        in new X 10000 day
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        out X trade partially_filled 10000 3000 7000 1000
        event end_of_day
        out X done_for_day done_for_day 10000 3000 0 0
        """,
        remark="the end of a day order is told as expired, not as done_for_day",
    ),
    Scenario(
        "B.1.a",
        "A cancel before any fill",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        in cancel Y of X
        alt out Y of X cancel_reject new
        out Y of X pending_cancel pending_cancel 10000 0 10000 0
        alt out Y of X cancel_reject new
        out Y of X canceled canceled 10000 0 0 0
        """,
    ),
    Scenario(
        "B.1.b",
        "A cancel while fills go on",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        in cancel Y of X
        out X trade partially_filled 10000 5000 5000 3000
        alt out Y of X cancel_reject partially_filled
        out Y of X pending_cancel pending_cancel 10000 5000 5000 0
        out X trade pending_cancel 10000 6000 4000 1000
        alt out Y of X cancel_reject partially_filled
        out Y of X canceled canceled 10000 6000 0 0
        """,
    ),
    Scenario(
        "B.1.d",
        "A cancel before the order is acknowledged",
        "reconstructed",
        """
        in new X 10000
        in cancel Y of X
        out Y of X pending_cancel pending_cancel 10000 0 10000 0
        out X new pending_cancel 10000 0 10000 0
        out Y of X canceled canceled 10000 0 0 0
        """,
    ),
    Scenario(
        "B.1.f",
        "A cancel of an order that nobody knows",
        "read",
        """
        in cancel Y of X
        out Y of X cancel_reject rejected unknown_order
        """,
    ),
    Scenario(
        "C.1.a",
        "A replace to more, before any fill",
        "secondary",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        in replace Y of X 11000
        alt out Y of X cancel_reject new
        out Y of X pending_replace pending_replace 10000 0 10000 0
        alt out Y of X cancel_reject new
        out Y of X replaced new 11000 0 11000 0
        out Y trade partially_filled 11000 1000 10000 1000
        out Y trade partially_filled 11000 3000 8000 2000
        """,
    ),
    Scenario(
        "C.1.c",
        "A replace of an order that is filled",
        "secondary",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade filled 10000 10000 0 10000
        in replace Y of X 12000
        out Y of X cancel_reject filled
        """,
        remark="a filled order stays filled: the branch that refuses",
    ),
    Scenario(
        "C.3.a",
        "A replace to less, but more than is filled",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in replace Y of X 8000
        out X trade partially_filled 10000 1500 8500 500
        alt out Y of X cancel_reject partially_filled
        out Y of X pending_replace pending_replace 10000 1500 8500 0
        out X trade pending_replace 10000 1600 8400 100
        alt out Y of X cancel_reject partially_filled
        out Y of X replaced partially_filled 8000 1600 6400 0
        out Y trade filled 8000 8000 0 6400
        """,
    ),
    Scenario(
        "C.3.b",
        "A replace to just what is filled",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        in replace Y of X 7000
        out X trade partially_filled 10000 7000 3000 7000
        out Y of X replaced filled 7000 7000 0 0
        """,
    ),
    Scenario(
        "D.1.a",
        "Two replaces in a row, with fills before each is decided",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in replace Y of X 8000
        out Y of X pending_replace pending_replace 10000 1000 9000 0
        out X trade pending_replace 10000 1500 8500 500
        out Y of X replaced partially_filled 8000 1500 6500 0
        out Y trade partially_filled 8000 3500 4500 2000
        in replace Z of Y 6000
        out Z of Y pending_replace pending_replace 8000 3500 4500 0
        out Y trade pending_replace 8000 4000 4000 500
        out Z of Y replaced partially_filled 6000 4000 2000 0
        out Z trade filled 6000 6000 0 2000
        """,
    ),
    Scenario(
        "D.1.a-42",
        "Two replaces in a row, with a fill before the first is decided",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in replace Y of X 8000
        out Y of X pending_replace pending_replace 10000 1000 9000 0
        out X trade pending_replace 10000 1500 8500 500
        out Y of X replaced partially_filled 8000 1500 6500 0
        out Y trade partially_filled 8000 3500 4500 2000
        in replace Z of Y 6000
        out Z of Y pending_replace pending_replace 8000 3500 4500 0
        out Z of Y replaced partially_filled 6000 3500 2500 0
        out Z trade filled 6000 6000 0 2500
        """,
    ),
    Scenario(
        "D.1.c",
        "A replace that is refused, then one that is not",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in replace Y of X 8000
        out Y of X pending_replace pending_replace 10000 1000 9000 0
        out X trade pending_replace 10000 1500 8500 500
        out Y of X cancel_reject partially_filled
        out X trade partially_filled 10000 3500 6500 2000
        in replace Z of X 6000
        out Z of X pending_replace pending_replace 10000 3500 6500 0
        alt out Z of X cancel_reject partially_filled
        out Z of X replaced partially_filled 6000 3500 2500 0
        out Z trade partially_filled 6000 5000 1000 1500
        """,
    ),
    Scenario(
        "D.2.b",
        "Two replaces under way at once, both carried out",
        "read",
        missing="one replace at a time is under way here: a second one is refused meanwhile, as in D.2.d",
    ),
    Scenario(
        "D.2.c",
        "Two replaces under way at once, both refused",
        "reconstructed",
        missing="one replace at a time is under way here: a second one is refused meanwhile, as in D.2.d",
    ),
    Scenario(
        "D.2.d",
        "A second replace while the first is under way",
        "read",
        """
        in new X 10000
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in replace Y of X 8000
        in replace Z of Y 7000
        out Y of X pending_replace pending_replace 10000 1000 9000 0
        out Z of X cancel_reject pending_replace already_pending_cancel_or_replace
        out Y of X replaced partially_filled 8000 1000 7000 0
        out Y trade partially_filled 8000 3000 5000 2000
        """,
        remark="a second replace is refused while one is under way",
    ),
    Scenario(
        "E.1.a",
        "An order by telephone",
        "read",
        missing="no orders by voice",
    ),
    Scenario(
        "E.1.b",
        "A cancel that nobody sent a message for",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        event cancel_agreed_by_voice
        out X canceled canceled 10000 1000 0 0
        """,
        remark="by an operator's mass cancel",
    ),
    Scenario(
        "E.1.d",
        "A reduction that nobody sent a message for",
        "read",
        """
        in new X 10000
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X restated new 9000 0 9000 0
        out X trade filled 9000 9000 0 9000
        """,
        remark="by self-trade prevention (decrement); a replaced that nobody asked for is FIX's restated",
    ),
    Scenario(
        "F.1.a",
        "A second order with the id of a live one",
        "secondary",
        """
        in new X 10000
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        in new X 15000
        out X rejected partially_filled 10000 1000 9000 0
        """,
        remark="the report shows the order that lives",
    ),
    Scenario(
        "F.1.c",
        "An order that was given by voice before",
        "read",
        missing="no orders by voice",
    ),
    Scenario(
        "G.1.a",
        "The status of an order that nobody knows",
        "reconstructed",
        """
        in status X
        out X order_status rejected 0 0 0 0
        """,
    ),
    Scenario(
        "G.1.b",
        "The status of an order without fills",
        "reconstructed",
        """
        in new X 10000
        out X new new 10000 0 10000 0
        in status X
        out X order_status new 10000 0 10000 0
        """,
    ),
    Scenario(
        "G.1.c",
        "The status before the acknowledgement, after it, and after a fill",
        "reconstructed",
        """
        in new X 10000
        in status X
        out X order_status pending_new 10000 0 10000 0
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        in status X
        out X order_status new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        in status X
        out X order_status partially_filled 10000 2000 8000 0
        """,
    ),
    Scenario(
        "H.1.a",
        "A good-till-cancel order over two days",
        "read",
        """
        in new X 10000 gtc
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        event next_day
        out X trade partially_filled 10000 3000 7000 1000
        """,
        remark="without the optional reports of evening and morning",
    ),
    Scenario(
        "H.1.b",
        "A good-till-cancel order over a split",
        "reconstructed",
        missing="no corporate actions",
    ),
    Scenario(
        "H.1.d",
        "A good-till-cancel order that is replaced on its second day",
        "read",
        """
        in new X 10000 gtc
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 2000 8000 2000
        event next_day
        in replace Y of X 15000
        alt out Y of X cancel_reject partially_filled
        out Y of X pending_replace pending_replace 10000 2000 8000 0
        out X trade pending_replace 10000 3000 7000 1000
        alt out Y of X cancel_reject partially_filled
        out Y of X replaced partially_filled 15000 3000 12000 0
        """,
        remark="without the optional reports of evening and morning",
    ),
    Scenario(
        "I.1.a",
        "Fill or kill that cannot be filled",
        "reconstructed",
        """
        in new X 10000 fok
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X canceled canceled 10000 0 0 0
        """,
    ),
    Scenario(
        "I.1.b",
        "Immediate or cancel, partly filled",
        "reconstructed",
        """
        in new X 10000 ioc
        alt out X rejected rejected 10000 0 0 0
        out X new new 10000 0 10000 0
        out X trade partially_filled 10000 1000 9000 1000
        out X canceled canceled 10000 1000 0 0
        """,
    ),
    Scenario(
        "J.1.a",
        "Trades busted and corrected after the order was filled",
        "read",
        missing="no busts or corrections of trades",
    ),
    Scenario(
        "J.1.b",
        "A trade busted after the order was canceled",
        "read",
        missing="no busts or corrections of trades",
    ),
    Scenario(
        "J.1.c",
        "Trades of two days corrected",
        "read",
        missing="no busts or corrections of trades",
    ),
    Scenario(
        "J.1.d",
        "A trade corrected and busted after the day was done",
        "read",
        missing="no busts or corrections of trades",
    ),
    Scenario(
        "K.1.b",
        "A halt cancels the order",
        "reconstructed",
        """
        in new X 10000
        out X new new 10000 0 10000 0
        event trading_halt_starts
        out X canceled canceled 10000 0 0 0
        """,
        remark="a halt and a mass cancel: the order itself cannot ask for it",
    ),
    Scenario(
        "L.1.a",
        "An execution guaranteed before it happens",
        "read",
        missing="no guaranteed executions (status stopped)",
    ),
    Scenario(
        "L.1.b",
        "An order for an amount of cash",
        "read",
        missing="no orders for an amount of cash",
    ),
)
