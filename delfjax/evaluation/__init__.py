"""Evaluate retrieval: mAP, precision-recall curves, confidence intervals, and reports."""
