freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
package("relume", base_path="../../firmware")
module("main.py", base_path="../../firmware/boot")
