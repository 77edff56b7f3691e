-- Before every script that compares epochs.
--
-- Whether epoch a began before epoch b. Epochs that were declared are UUIDs of version 7, which begin with their time in
-- milliseconds. Others are older than all of those, and have no order among themselves.
local function before(a, b)
  local function began(epoch)
    if string.sub(epoch, 15, 15) ~= '7' then return 0 end
    return tonumber(string.sub(epoch, 1, 8) .. string.sub(epoch, 10, 13), 16) or 0
  end
  return began(a) < began(b)
end

