"""The record of a restoration: what a report is made from, kept beside the output."""
