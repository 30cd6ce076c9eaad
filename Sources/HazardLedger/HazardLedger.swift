// HazardLedger
