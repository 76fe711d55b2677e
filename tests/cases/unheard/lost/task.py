import asyncio
async def check():
    assert 1 == 2
async def main():
    one = asyncio.create_task(check())
    await asyncio.sleep(0.1)
if __name__ == "__main__":
    asyncio.run(main())
