"""What the frameworks say when they refuse something, as sentences that say what to do.

Django and REST framework have no codes that tell their own complaints from each other's, so the key is their English
text. What is not in the table, our own sentences among it, stays as it is.
"""

from __future__ import annotations

import re

_TABLE: dict[str, str] = {
    # a field of a body, or a query parameter
    r"This field is required\.": "Add this; it is required.",
    r"This field may not be null\.": "Give a value here, not null.",
    r"This field may not be blank\.": "Write something here; it must not be blank.",
    r"Not a valid string\.": "Write a string here.",
    r"Must be a valid boolean\.": "Write true or false here.",
    r"Must be a valid UUID\.": "Give an id here, such as 0190b3a2-5f0c-7c3e-9d55-2f6f1c8a4e10.",
    r"A valid integer is required\.": "Write a whole number here.",
    r"String value too large\.": "Write a smaller number here.",
    r"Datetime has wrong format\. .*": "Write a time here, such as 2030-12-24T18:00:00Z.",
    r"Expected a datetime but got a date\.": "Write a time here, such as 2030-12-24T18:00:00Z.",
    r"Invalid datetime for the timezone .*": "Write a time that exists, such as 2030-12-24T18:00:00Z.",
    r"Datetime value out of range\.": "Write a time in the years 1 to 9999.",
    r'"(.*)" is not a valid choice\.': 'Choose one of the values that /api/docs/ lists; "{0}" is none of them.',
    r"Select a valid choice\. (.*) is not one of the available choices\.": (
        'Choose one of the values that /api/docs/ lists; "{0}" is none of them.'
    ),
    r"Invalid data\. Expected a dictionary, but got .*": "Send a JSON object.",
    r"No data provided": "Send a JSON object.",
    r"Expected a dictionary of items but got type .*": "Give a JSON object here.",
    r"This dictionary may not be empty\.": "Give at least one entry here.",
    r"Expected a list of items but got type .*": "Give a list here.",
    r"This list may not be empty\.": "Give at least one entry here.",
    r"Enter a list of values\.": "Give one value or several here.",
    r"Null characters are not allowed\.": "Remove the NUL character.",
    r"Surrogate characters are not allowed: .*": "Remove the lone surrogate; it is no character.",
    # a request as a whole
    r"Invalid input\.": "Correct what `details` names.",
    r"Invalid cursor": "Take the cursor from `next` or `previous` of a page, or leave it out for the first page.",
    r"Malformed request\.": "Send a well-formed request.",
    r"Incorrect authentication credentials\.": "Send other credentials: these are not good.",
    r"Authentication credentials were not provided\.": ("Sign in, or send an API key as 'Authorization: Bearer wf_…'."),
    r"You do not have permission to perform this action\.": (
        "You may not do this; ask an admin of the organization for a role that may."
    ),
    r"CSRF Failed: (.*?)\.?": (
        "Send the session's CSRF token as 'X-CSRFToken', from a page of this site, or use an API key ({0})."
    ),
    r"Not found\.": "There is no such object in your organization; check the address.",
    r'Method "(.*)" not allowed\.': "{0} is not possible at this address; use a method that the header Allow names.",
    r"Could not satisfy the request Accept header\.": "Accept application/json; the API answers in nothing else.",
    r'Unsupported media type "(.*)" in request\.': (
        'Send the body as JSON with "Content-Type: application/json"; "{0}" is not read.'
    ),
    r"Request was throttled\..*": "Send fewer requests; the header Retry-After says when to come back.",
    r"A server error occurred\.": "This is a bug of the server; try again, and tell who runs it.",
}
_COMPILED = [(re.compile(pattern, re.DOTALL), sentence) for pattern, sentence in _TABLE.items()]
_SHOWN_LENGTH = 80


def in_full(text: str) -> str:
    """The text, or the sentence that stands for it."""
    for pattern, sentence in _COMPILED:
        if match := pattern.fullmatch(text):
            return sentence.format(*(part[:_SHOWN_LENGTH] for part in match.groups()))
    return text
