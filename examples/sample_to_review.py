import sys, os
import json
import re
from typing import Dict, List, Optional

class Invoice(object):
    def __init__(self, customer: str, lines: List[Dict], rate: Optional[float] = None):
        super(Invoice, self).__init__()
        self.customer = customer
        self.lines = lines
        self.rate = rate

    def total(self):
        amount = sum([line["price"] * line["quantity"] for line in self.lines])
        if not self.rate is None:
            return amount * (1 + self.rate)
        else:
            return amount

    def discount(self):
        if self.total() > 1000:
            return 0.1
        elif self.total() > 500:
            return 0.05
        else:
            return 0

    def label(self):
        return "{0}: {1}".format(self.customer, self.total())

    def is_large(self):
        if self.total() > 1000:
            return True
        else:
            return False


def parse(text):
    try:
        data = json.loads(text)
    except ValueError as error:
        return None
    if not "customer" in data:
        return None
    elif not "lines" in data:
        return None
    else:
        return Invoice(data["customer"], data["lines"], data.get("rate", None))


def read(path):
    with open(path, "r", encoding="utf-8") as source:
        invoices = [parse(line) for line in source.readlines()]
    return [invoice for invoice in invoices if not invoice is None]


def by_customer(invoices):
    totals = {}
    for invoice in invoices:
        if not invoice.customer in totals.keys():
            totals[invoice.customer] = 0
        totals[invoice.customer] += invoice.total()
    return totals


def report(path):
    totals = by_customer(read(path))
    for customer in sorted(totals.keys()):
        print(f"Totals")
        print("{}: {}".format(customer, totals[customer]))
    return None


if __name__ == "__main__":
    report(sys.argv[1])
