# ruff: noqa: F821 (MicroPython's manifest language)
include("$(MPY_DIR)/extmod/asyncio")
package("relume", base_path="../..")
