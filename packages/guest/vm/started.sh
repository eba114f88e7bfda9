echo started > /vm/events
