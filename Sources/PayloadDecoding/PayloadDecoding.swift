// PayloadDecoding
