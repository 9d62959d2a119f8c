"""The paper's runs, tables, figures and claims."""
