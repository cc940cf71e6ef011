include("$(MPY_DIR)/extmod/asyncio")
package("relume", base_path="../..")
